-- The clock of a sandbox tenant (rule T4): its offset is configuration, and what a family waits for is
-- due by the clock of its tenant.

ALTER TABLE ledger.configuration DROP CONSTRAINT configuration_kind_check;
ALTER TABLE ledger.configuration ADD CONSTRAINT configuration_kind_check
    CHECK (kind IN (1, 2, 3));  -- 1 asset, 2 rate card, 3 clock

-- 0 = by a writer that knew no clocks of tenants; what it wrote is not read any more.
ALTER TABLE ledger.checkpoint_family ADD COLUMN tenant int NOT NULL DEFAULT 0 CHECK (tenant >= 0);
