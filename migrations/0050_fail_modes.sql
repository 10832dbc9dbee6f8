-- How a product's work is decided while no server answers is published as other configuration is: kind 9.

ALTER TABLE ledger.configuration DROP CONSTRAINT configuration_kind_check,
    ADD CONSTRAINT configuration_kind_check CHECK (kind BETWEEN 1 AND 9);
