-- Which gateway gives a running answer, where several share the database; NULL: nobody does, and any may go on with it.
ALTER TABLE progress ADD COLUMN owner TEXT;
CREATE INDEX progress_of_owner ON progress (owner);

-- A gateway counts its beats while answers run. One whose count stands still is gone; no clock is compared.
CREATE TABLE gateways (
    id    TEXT    NOT NULL PRIMARY KEY,
    beats INTEGER NOT NULL
) STRICT;
