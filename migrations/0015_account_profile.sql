-- Which version of an account's display name and metadata stands here, and when it was erased. The
-- journal counts the versions; a row that is behind is brought up to date from the private records.

ALTER TABLE ledger.account_directory
    ADD COLUMN profile_version bigint NOT NULL DEFAULT 0,  -- 0 = claimed only
    ADD COLUMN erased_at timestamptz;
UPDATE ledger.account_directory SET profile_version = 1 WHERE state > 1;
UPDATE ledger.account_directory SET erased_at = coalesce(blanked_at, now()) WHERE state = 3;
ALTER TABLE ledger.account_directory
    ADD CONSTRAINT erased_has_time CHECK (state <> 3 OR erased_at IS NOT NULL);
