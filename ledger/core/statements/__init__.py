"""Statements of an account's billing periods (rules T2, H8).

statements, stating     as state: which there are; asked for, ended, closed
"""
