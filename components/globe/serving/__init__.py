"""Serving: vLLM's arguments, and a server as a local process. (On a cluster the same arguments go into a Deployment.)"""
