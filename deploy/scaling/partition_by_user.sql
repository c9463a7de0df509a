-- Partitions time entries by user into 64 parts, and the audit log by month, for databases with more than a billion
-- entries (docs/scaling.md).
--
--     psql -v ON_ERROR_STOP=1 --single-transaction -f deploy/scaling/partition_by_user.sql
--
-- Run it in a maintenance window, because it locks and copies both tables, and users can't punch meanwhile.
--
-- Entries are partitioned by user, not by month, because a constraint of a partitioned table is enforced within each
-- partition only. All entries of a user are in one partition. So the constraints still guarantee one open entry per
-- user and no overlaps. All names stay the same. Names in a partition have the suffix _p and a number, which the
-- service accepts.
--
-- Afterwards PostgreSQL rejects CREATE INDEX CONCURRENTLY and NOT VALID foreign keys on the two tables. So review the
-- migrations of each new release before you upgrade.
--
-- LIKE doesn't copy grants. Note the grants of both tables before (\dp time_entry audit_event), and grant them again
-- afterwards.

SET LOCAL lock_timeout = '10s';
SET LOCAL statement_timeout = 0;
SET LOCAL maintenance_work_mem = '1GB';

-- Entries --------------------------------------------------------------------------------------------------------

ALTER TABLE time_entry RENAME TO time_entry_whole;
ALTER SEQUENCE time_entry_id_seq OWNED BY NONE;
ALTER SEQUENCE time_entry_id_seq AS bigint;
CREATE TABLE time_entry (LIKE time_entry_whole INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY HASH (user_id);
ALTER TABLE time_entry ALTER COLUMN id TYPE bigint;
DO $$ BEGIN
    FOR part IN 0..63 LOOP
        EXECUTE format(
            'CREATE TABLE time_entry_p%1$s PARTITION OF time_entry FOR VALUES WITH (MODULUS 64, REMAINDER %1$s)', part
        );
    END LOOP;
END $$;
INSERT INTO time_entry SELECT * FROM time_entry_whole;
DROP TABLE time_entry_whole;
ALTER SEQUENCE time_entry_id_seq OWNED BY time_entry.id;

-- Create each index on the partitioned table with ONLY, then attach the index of each partition. This way the indexes
-- of the partitions have our names.
CREATE INDEX ix_time_entry_id ON ONLY time_entry (id);
CREATE UNIQUE INDEX uq_time_entry_one_open_per_user ON ONLY time_entry (user_id) WHERE end_time IS NULL;
CREATE INDEX ix_time_entry_user_id_start_time ON ONLY time_entry (user_id, start_time);
CREATE INDEX ix_time_entry_start_time ON ONLY time_entry (start_time, id);
CREATE INDEX ix_time_entry_project_id ON ONLY time_entry (project_id);
CREATE INDEX ix_time_entry_needs_review ON ONLY time_entry (start_time) WHERE needs_review;
DO $$ BEGIN
    FOR part IN 0..63 LOOP
        EXECUTE format('CREATE INDEX ix_time_entry_id_p%1$s ON time_entry_p%1$s (id)', part);
        EXECUTE format('ALTER INDEX ix_time_entry_id ATTACH PARTITION ix_time_entry_id_p%s', part);
        EXECUTE format(
            'CREATE UNIQUE INDEX uq_time_entry_one_open_per_user_p%1$s ON time_entry_p%1$s (user_id) '
            'WHERE end_time IS NULL', part
        );
        EXECUTE format(
            'ALTER INDEX uq_time_entry_one_open_per_user ATTACH PARTITION uq_time_entry_one_open_per_user_p%s', part
        );
        EXECUTE format(
            'CREATE INDEX ix_time_entry_user_id_start_time_p%1$s ON time_entry_p%1$s (user_id, start_time)', part
        );
        EXECUTE format(
            'ALTER INDEX ix_time_entry_user_id_start_time ATTACH PARTITION ix_time_entry_user_id_start_time_p%s', part
        );
        EXECUTE format('CREATE INDEX ix_time_entry_start_time_p%1$s ON time_entry_p%1$s (start_time, id)', part);
        EXECUTE format('ALTER INDEX ix_time_entry_start_time ATTACH PARTITION ix_time_entry_start_time_p%s', part);
        EXECUTE format('CREATE INDEX ix_time_entry_project_id_p%1$s ON time_entry_p%1$s (project_id)', part);
        EXECUTE format('ALTER INDEX ix_time_entry_project_id ATTACH PARTITION ix_time_entry_project_id_p%s', part);
        EXECUTE format(
            'CREATE INDEX ix_time_entry_needs_review_p%1$s ON time_entry_p%1$s (start_time) WHERE needs_review', part
        );
        EXECUTE format('ALTER INDEX ix_time_entry_needs_review ATTACH PARTITION ix_time_entry_needs_review_p%s', part);
        EXECUTE format(
            'ALTER TABLE time_entry_p%1$s ADD CONSTRAINT ex_time_entry_no_overlap_p%1$s EXCLUDE USING gist '
            '(int4range(user_id, user_id, ''[]'') WITH =, tstzrange(start_time, end_time) WITH &&)', part
        );
    END LOOP;
END $$;
ALTER TABLE time_entry
    ADD CONSTRAINT fk_time_entry_project_id_project FOREIGN KEY (project_id) REFERENCES project (id),
    ADD CONSTRAINT fk_time_entry_user_id_user FOREIGN KEY (user_id) REFERENCES "user" (id),
    ADD CONSTRAINT fk_time_entry_timesheet_id_timesheet FOREIGN KEY (timesheet_id) REFERENCES timesheet (id);
CREATE TRIGGER time_entry_locked_update BEFORE UPDATE ON time_entry FOR EACH ROW WHEN (
    OLD.timesheet_id IS NOT NULL AND (NEW.timesheet_id IS NOT NULL OR (
        OLD.id, OLD.user_id, OLD.project_id, OLD.start_time, OLD.end_time, OLD.description, OLD.time_zone,
        OLD.needs_review, OLD.version, OLD.created_at, OLD.updated_at
    ) IS DISTINCT FROM (
        NEW.id, NEW.user_id, NEW.project_id, NEW.start_time, NEW.end_time, NEW.description, NEW.time_zone,
        NEW.needs_review, NEW.version, NEW.created_at, NEW.updated_at
    ))
) EXECUTE FUNCTION time_entry_is_locked();
CREATE TRIGGER time_entry_locked_delete BEFORE DELETE ON time_entry FOR EACH ROW WHEN (OLD.timesheet_id IS NOT NULL)
    EXECUTE FUNCTION time_entry_is_locked();

-- Audit log ------------------------------------------------------------------------------------------------------

-- The trigger enforces unique positions in a chain across months. The primary key can't, because it must include `at`.
ALTER TABLE audit_event RENAME TO audit_event_whole;
CREATE TABLE audit_event (LIKE audit_event_whole INCLUDING DEFAULTS) PARTITION BY RANGE (at);
ALTER TABLE audit_event ALTER COLUMN object_id TYPE bigint;  -- can be the id of an entry
CREATE TABLE audit_event_rest PARTITION OF audit_event DEFAULT;
DO $$ DECLARE
    month timestamptz;
BEGIN
    FOR month IN
        SELECT generate_series(
            date_trunc('month', least(min(at), now()) AT TIME ZONE 'UTC'),
            date_trunc('month', now() AT TIME ZONE 'UTC') + interval '24 months', '1 month'
        ) AT TIME ZONE 'UTC'
        FROM audit_event_whole
    LOOP
        EXECUTE format(
            'CREATE TABLE audit_event_%s PARTITION OF audit_event FOR VALUES FROM (%L) TO (%L)',
            to_char(month AT TIME ZONE 'UTC', 'YYYY_MM'), month, ((month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$;
INSERT INTO audit_event SELECT * FROM audit_event_whole;
DROP TABLE audit_event_whole;
ALTER TABLE audit_event ADD CONSTRAINT pk_audit_event PRIMARY KEY (chain_id, position, at);
CREATE INDEX ix_audit_event_at ON audit_event (at, chain_id, position);
CREATE INDEX ix_audit_event_by_another ON audit_event (actor_id, at) WHERE actor_id <> chain_id;
CREATE INDEX ix_audit_event_object ON audit_event (object_type, object_id);
CREATE TRIGGER audit_event_append_only_row BEFORE UPDATE OR DELETE ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_is_append_only();
CREATE TRIGGER audit_event_extends_its_chain AFTER INSERT ON audit_event
    FOR EACH ROW EXECUTE FUNCTION audit_event_extends_its_chain();
DO $$ DECLARE
    part regclass;
BEGIN
    FOR part IN SELECT 'audit_event'::regclass UNION ALL
        SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'audit_event'::regclass
    LOOP
        EXECUTE format(
            'CREATE TRIGGER audit_event_append_only_truncate BEFORE TRUNCATE ON %s '
            'FOR EACH STATEMENT EXECUTE FUNCTION audit_event_is_append_only()', part
        );
    END LOOP;
END $$;
