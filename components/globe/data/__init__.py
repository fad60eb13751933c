"""Rows, shards, images and sources: everything that reads or writes a dataset."""
