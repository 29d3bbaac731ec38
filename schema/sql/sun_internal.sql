-- The database of what the application's processes tell one another.

CREATE TABLE invalidate_cache (
  invalidate_cache_id BIGINT       NOT NULL AUTO_INCREMENT,
  database_name       VARCHAR(64)  NOT NULL,
  table_name          VARCHAR(64)  NOT NULL COMMENT 'Empty for every table of the database.',
  row_key             VARCHAR(255) NOT NULL DEFAULT '' COMMENT 'The primary key of the row, its columns parted by commas; empty for every row.',
  reason              VARCHAR(255) NOT NULL DEFAULT '',
  created_ms          BIGINT       NOT NULL,
  PRIMARY KEY (invalidate_cache_id),
  KEY invalidate_cache_by_created (created_ms)
) COMMENT='An order to every process to forget rows it has cached, given by an operator who changed them past the generated code.';
