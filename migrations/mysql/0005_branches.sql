-- Branches: each message follows another one, so that an edited question, or another answer, stands beside the first.
-- `parent` is that one's position, 0 at the beginning. Where the release before this one still writes there is none,
-- and the position before is meant.
ALTER TABLE messages ADD COLUMN parent BIGINT, ADD CONSTRAINT messages_parent CHECK (parent >= 0 AND parent < position);
UPDATE messages SET parent = position - 1;

-- The position where the branch ends that is shown; NULL: of what was written last.
ALTER TABLE conversations ADD COLUMN leaf BIGINT;

ALTER TABLE conversations ADD COLUMN pinned SMALLINT NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
CREATE INDEX conversations_in_order ON conversations (user_id, pinned, updated_at, id);

-- Who has found the title: the question's first words stand until a model has found a better one, and what a person
-- has written is never replaced. Of older titles nobody knows.
ALTER TABLE conversations ADD COLUMN titled_by VARCHAR(16) NOT NULL DEFAULT 'person'
    CHECK (titled_by IN ('words', 'model', 'person'));
