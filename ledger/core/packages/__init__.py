"""Packages: published templates of what an account has (rules P1 to P4).

packaged, subscriptions     what a version says; what an account has of one
phases, package_policy, package_terms   its phases; what it sets of a policy; what a period is
subscribing             begun, changed, carried on, ended
packaged_budgets, package_budgets   budgets that it carries: as published, set and removed
packaged_rules, package_rules       and rules of decisions
packaged_operations, package_operations   and what each operation may use
packaged_charges, package_charges   fixed charges: as published, started, changed and ended
packaged_seats, package_seats, seat_room   plans of seats: as published, begun and ended; what
                        they may still be given
period_room             what grants and seats of a period may still be given together
"""
