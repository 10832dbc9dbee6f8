"""The books in other people's tools: hledger, beancount, CSV, Parquet. Read in this order:

    chart      which set of books a kind belongs to, and its place in a chart of accounts
    names      ids, products and assets as the tools can read them
    amounts    exact decimals, days and instants
    source     one snapshot of the read models, streamed
    sheet      what every writer knows, and what it is handed
    hledger    a journal for hledger
    beancount  a ledger for beancount
    rows       the columns of CSV and Parquet
    tables     CSV and Parquet
    files      whole files under the final name, or none
    catch_up   waiting until the read models stand where the journal ends
    run        `export`: all of it, with a manifest

Nothing in the books is changed. Figures are copied, never computed anew: what is exported is what
the transfers say, and it is compared with the counters of the books before a file gets its name.
"""
