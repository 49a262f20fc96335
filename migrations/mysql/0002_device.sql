-- What computed an answer, in words: a CPU that did a GPU's work should be seen.
ALTER TABLE messages ADD COLUMN device TEXT;
