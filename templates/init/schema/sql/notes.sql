-- The notes that people leave.

CREATE TABLE note (
  note_id    BIGINT       NOT NULL,
  author     VARCHAR(64)  NOT NULL,
  text       TEXT         NOT NULL,
  created_ms BIGINT       NOT NULL,
  PRIMARY KEY (note_id),
  KEY note_by_author (author, note_id)
) COMMENT='A note of one author.';
