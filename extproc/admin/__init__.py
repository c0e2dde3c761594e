"""The admin service: what an operator and the people of a team do, told over gRPC and REST."""
