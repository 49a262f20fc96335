-- What is remembered of a person: facts that they have written, and passages of what was said in their conversations.
-- A vector is of 16-bit numbers, little end first, and belongs to the model that made it; where it is NULL, either none
-- was made yet (the model is NULL too), or that model can make none of this text.
CREATE TABLE memories (
    id         VARCHAR(36)  NOT NULL PRIMARY KEY,
    user_id    VARCHAR(36)  NOT NULL,
    kind       VARCHAR(16)  NOT NULL CHECK (kind IN ('fact', 'message')),
    message_id VARCHAR(36),
    -- What it says, sealed as in other tables.
    sealed     MEDIUMBLOB   NOT NULL,
    created_at BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL,
    model      VARBINARY(32),
    -- Sealed too: who has a vector knows nearly what it was made of.
    vector     MEDIUMBLOB,
    -- Counts up with each vector of this person: who has read up to one reads on behind it.
    place      BIGINT       NOT NULL DEFAULT 0,
    INDEX memories_of_user (user_id, kind, id),
    INDEX memories_of_message (message_id),
    INDEX memories_to_embed (model, kind, id),
    INDEX memories_to_search (user_id, model, place),
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- How a person wants it. Without a row it is on.
CREATE TABLE memory_settings (
    user_id VARCHAR(36) NOT NULL PRIMARY KEY,
    enabled SMALLINT    NOT NULL CHECK (enabled IN (0, 1)),
    -- The last place that was given.
    place   BIGINT      NOT NULL DEFAULT 0,
    FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Which memories an answer was given with, in the order in which the model read them, and in the words of that time.
-- When a memory is deleted, so is this.
CREATE TABLE recalled (
    id         VARCHAR(36) NOT NULL PRIMARY KEY,
    message_id VARCHAR(36) NOT NULL,
    number     BIGINT      NOT NULL,
    memory_id  VARCHAR(36) NOT NULL,
    sealed     MEDIUMBLOB  NOT NULL,
    similarity DOUBLE      NOT NULL,
    UNIQUE (message_id, number),
    INDEX recalled_memory (memory_id),
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE,
    FOREIGN KEY (memory_id) REFERENCES memories (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Whether a message has been cut into passages, or is not to be. Those of earlier releases are taken up bit by bit.
ALTER TABLE messages ADD COLUMN remembered SMALLINT NOT NULL DEFAULT 0 CHECK (remembered IN (0, 1));
CREATE INDEX messages_to_remember ON messages (remembered, id);
