-- Words at rest are sealed with a key of their owner's own, which is wrapped by a key that comes from the master key
-- outside of the database. `sealed` holds all words of a row; the columns that held them before are empty then. Where
-- the release before this one still writes it fills those, and they are sealed later.
CREATE TABLE data_keys (
    user_id    VARCHAR(36)    NOT NULL,
    -- From 1; the newest seals.
    generation BIGINT         NOT NULL CHECK (generation > 0),
    -- The id of the master key that wraps it.
    master     VARCHAR(16)    NOT NULL,
    wrapped    VARBINARY(255) NOT NULL,
    created_at BIGINT         NOT NULL,
    -- Nothing of this user's is left in the clear.
    all_sealed SMALLINT       NOT NULL CHECK (all_sealed IN (0, 1)),
    PRIMARY KEY (user_id, generation),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The keys that come from master keys, each wrapped by another one, or by itself to show who has the right one.
CREATE TABLE master_keys (
    id         VARCHAR(16)    NOT NULL,
    known_by   VARCHAR(16)    NOT NULL,
    wrapped    VARBINARY(255) NOT NULL,
    created_at BIGINT         NOT NULL,
    PRIMARY KEY (id, known_by)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

ALTER TABLE conversations ADD COLUMN sealed BLOB;
ALTER TABLE messages ADD COLUMN sealed MEDIUMBLOB;
ALTER TABLE progress ADD COLUMN sealed MEDIUMBLOB;
ALTER TABLE characters ADD COLUMN sealed MEDIUMBLOB;
ALTER TABLE character_pictures ADD COLUMN sealed MEDIUMBLOB;
