-- Names that Python or SQL want for themselves.

CREATE TABLE `group` (
  `self`        BIGINT NOT NULL,
  `class`       INT NOT NULL,
  `3p%`         INT NOT NULL,
  `Mixed Case`  INT NOT NULL,
  `_hidden`     INT NOT NULL,
  `where`       INT NOT NULL,
  `insert`      INT NOT NULL,
  `int`         INT NOT NULL,
  `limit`       INT NOT NULL,
  `per"cent`    VARCHAR(10) NOT NULL DEFAULT 'a''b\\c"d',
  PRIMARY KEY (`self`),
  KEY `select` (`class`, `limit`)
) COMMENT='Says "hi" and ends in a backslash \\';

CREATE TABLE `query` (
  `table` INT NOT NULL,
  PRIMARY KEY (`table`)
) COMMENT='A row class named as one of the runtime''s.';

CREATE TABLE `quotes"""` (
  `id"""` INT NOT NULL COMMENT 'Ends in """',
  `text`  INT NOT NULL,
  PRIMARY KEY (`id"""`),
  KEY `by"""` (`text`)
);
