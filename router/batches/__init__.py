"""Batches: files of requests whose answers nobody waits for, answered while machines are idle."""
