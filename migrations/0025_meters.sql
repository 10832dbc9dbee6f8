-- Meters are published as other configuration is.

ALTER TABLE ledger.configuration DROP CONSTRAINT configuration_kind_check;
ALTER TABLE ledger.configuration ADD CONSTRAINT configuration_kind_check
    CHECK (kind IN (1, 2, 3, 4, 5, 6));
    -- 1 asset, 2 rate card, 3 clock, 4 alias of a rate card, 5 conversion, 6 meters
