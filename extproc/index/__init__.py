"""The index: the usage records of all owners in one SQLite file, for questions. It can be made again from Redis.

    index.py      what others use: `Index`
    where.py      what a question asks for: `Where`, `Visible`, `By`
    rows.py       an entry of the usage log → the row of its request
    source.py     reading the logs in Redis, page by page
    writing.py    pages → rows, totals and positions, in one transaction
    file.py       the file: opened, or made anew
    pages.py      finding rows, at most so many looked at
    totals.py     sums by day, kept beside the rows
    changes.py    the record of changes
    retention.py  what is older than the operator keeps

Prompts and answers are in none of it.
"""
