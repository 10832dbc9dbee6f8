"""Durable storage: the journal of each shard, the account directory, configuration, PostgreSQL.

Reading order: errors, protocol, codec, memory, postgres, directory, configuration, parked,
checkpoint, erasure, migrate, embedded. Nothing here decides: it keeps, and says how sure it is of
having kept.
"""
