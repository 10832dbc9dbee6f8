"""Credit leases: slices in escrow with who decides in the ledger's place (rule H7).

leases, lease_room, leasing     as state, how much there is for one, decided
lease_operations                which operations a holder may report under
"""
