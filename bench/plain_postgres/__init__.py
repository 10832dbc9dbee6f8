"""The usual alternative to a ledger server: one SQL function an event, on plain PostgreSQL."""
