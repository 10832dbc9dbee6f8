"""`python -m ledger.cli`: the same as `drawdown`."""

from ledger.cli import main

if __name__ == "__main__":
    main()
