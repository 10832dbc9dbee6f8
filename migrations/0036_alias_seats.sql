-- An alias may name a seat of its account, too (rule I7): the attribute of usage that names seats, and
-- its value, which has had a column from the first. NULL = it names none.

ALTER TABLE ledger.account_alias
    ADD COLUMN seat_attribute text COLLATE "C" CHECK (octet_length(seat_attribute) BETWEEN 1 AND 64),
    ADD CONSTRAINT account_alias_seat CHECK (
        (seat IS NULL) = (seat_attribute IS NULL) AND octet_length(seat) BETWEEN 1 AND 128
    );
