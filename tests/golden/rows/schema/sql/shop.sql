-- Messages of rows: numbers that the lock remembers, and names that protobuf, Python and SQL see in different ways.

CREATE TABLE item (
  -- After the others in the lock, and first here: the place of a column is no number.
  added_ms   BIGINT NOT NULL,
  item_id    BIGINT NOT NULL,
  -- sun: enum=shop.v1.Colour
  colour     TINYINT NOT NULL,
  -- sun: renamed_from=title
  name       VARCHAR(40) NOT NULL COMMENT 'Shown to people.
In one line.',
  stock      BIGINT NOT NULL DEFAULT 0,          -- was an INT, which still reads
  price      DECIMAL(10,2) NOT NULL,             -- was an INT, which does not
  note       TEXT,                               -- was gone, and is back
  tags       SET('new','sale') NOT NULL,
  days       SET('mon','tue'),
  opened     TIME(6) DEFAULT NULL,
  made       TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
  fresh      INT DEFAULT NULL,
  PRIMARY KEY (item_id)
) COMMENT='What is sold.';

CREATE TABLE `class` (
  `class`      INT NOT NULL PRIMARY KEY,
  `optional`   INT NOT NULL,
  `message`    TEXT NOT NULL,
  `to_message` INT NOT NULL,
  `userName`   INT NOT NULL,
  `HTTPCode`   INT NOT NULL,
  `Mixed Case` INT NOT NULL,
  `3p%`        INT NOT NULL,
  `_hidden`    INT NOT NULL,
  `line_2`     INT NOT NULL
);
