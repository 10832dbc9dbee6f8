"""May this work run?

assessing               whether it can be paid for, and by what
holds, capturing        reserved, extended, released, expired; taken from, whole or in parts
charging                what was used is charged, to its hold first
authorizing, debits     a hold or a denial; charged in one step
operation_draws         what calls may draw of an operation's units
operation_holds         units for an operation with all its calls
usual_debits            most debits, decided and applied many at a time
checking                advice on much work of many accounts
shortfall, affording    which limit decides; as much as all of them afford
decision_policies, rule_faults, policing    rules of decisions: as state, what is valid, set
ruling                  what they make of work that may not run as it was asked for
reckoning               the steps of an assessment, for who asks why
"""
