"""Agents' mandates (rule H4).

mandates, mandating     as state; granted, delegated, revoked and asked
"""
