-- What it takes to go on with an answer that is not whole: behind which tokens, and how they were made. The row is
-- there from the question on, is written while the answer grows, and goes when the answer is whole.
CREATE TABLE progress (
    message_id     VARCHAR(36)   NOT NULL PRIMARY KEY,
    job_id         TEXT          NOT NULL,
    attempts       BIGINT        NOT NULL,
    model_id       VARBINARY(32) NOT NULL,
    model          TEXT          NOT NULL,
    seed           BIGINT,
    max_tokens     BIGINT,
    reasoning      VARCHAR(16)   NOT NULL CHECK (reasoning IN ('never', 'marked', 'open')),
    -- Who has given it so far, as JSON.
    nodes          MEDIUMTEXT    NOT NULL,
    first_token_ms DOUBLE,
    -- Ids of four bytes, little end first.
    tokens         MEDIUMBLOB    NOT NULL,
    -- What they say in the model's own words, thoughts and all.
    text           MEDIUMTEXT    NOT NULL,
    FOREIGN KEY (message_id) REFERENCES messages (id) ON DELETE CASCADE
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Whether there is progress to go on from. Answers of an earlier release have none.
ALTER TABLE messages ADD COLUMN resumable SMALLINT NOT NULL DEFAULT 0 CHECK (resumable IN (0, 1));
-- The names of the nodes that gave it, as JSON, where there was more than one.
ALTER TABLE messages ADD COLUMN nodes MEDIUMTEXT;
