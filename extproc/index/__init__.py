"""The index: the usage records of all owners in one SQLite file, for questions. It can be made again from Redis."""
