"""What an event costs.

aliases, overrides, sold    which card an alias means; an account's own prices, and those sold
contracted              whether an account has what its card asks for
shared_totals, scopes   totals of several accounts; where a total starts, and whose it is
pricing                 what an event costs: its plan over the totals that run on
costs, cost_refunds     what the provider takes beside it, and takes less when it is given back
rerates, rerate_shares  what earlier usage costs anew, and what others bear of that
repriced, touched, repricing    usage rated again by a job: its price, which, what comes of it
quotes, quoted, quoting     promised prices: as state, for usage that names one, made
"""
