"""Fixed charges: fees that recur or come once (rules T1, S1).

fixed_charges, charge_prices    as state, its figures
charge_faults, charge_terms     what terms may say by themselves, and of an account
charge_fees, charging   who pays it and when it is earned; started, changed, ended, by time
"""
