"""Seats: people that an account pays for, with allowances (rules S1 to S3).

seats, seat_shares, seat_checks     as state, what their time is worth, what may be asked
seat_changes            which seats there are after a change, with what
seat_fees, seating, seat_draws  their fee; plans from start to end; whose allowance usage draws
"""
