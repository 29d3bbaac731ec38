-- The database of operational logs. No secrets, no contents; every table is cut by age through its key on created_ms.

CREATE TABLE http_rpc_log (
  http_rpc_log_id BIGINT       NOT NULL,
  node            SMALLINT     NOT NULL DEFAULT 0 COMMENT 'The process that answered.',
  method          VARCHAR(128) NOT NULL COMMENT 'sun.v1.SocialService/AddPost',
  transport       VARCHAR(16)  NOT NULL DEFAULT '' COMMENT 'http or ws.',
  call_id         VARCHAR(64)  NOT NULL DEFAULT '',
  user_id         BIGINT       NOT NULL DEFAULT 0 COMMENT '0 for a caller who was not signed in.',
  session_id      BIGINT       NOT NULL DEFAULT 0,
  address         VARCHAR(45)  NOT NULL DEFAULT '',
  code            TINYINT      NOT NULL DEFAULT 0 COMMENT 'Of the answer, with the numbers of gRPC; 0 for success.',  -- sun: enum=sun.Code
  error           VARCHAR(255) NOT NULL DEFAULT '' COMMENT 'The full name of the declared error.',
  request_bytes   BIGINT       NOT NULL DEFAULT 0,
  response_bytes  BIGINT       NOT NULL DEFAULT 0,
  duration_us     BIGINT       NOT NULL DEFAULT 0 COMMENT 'Microseconds from the whole request to the answer.',
  created_ms      BIGINT       NOT NULL,
  PRIMARY KEY (http_rpc_log_id),
  KEY http_rpc_log_by_method (method, http_rpc_log_id),
  KEY http_rpc_log_by_user (user_id, http_rpc_log_id),
  KEY http_rpc_log_by_created (created_ms)
) COMMENT='One call of a client, without what it carried.';

CREATE TABLE metric_log (
  metric_log_id BIGINT       NOT NULL,
  node          SMALLINT     NOT NULL DEFAULT 0,
  metric        VARCHAR(128) NOT NULL,
  labels        VARCHAR(255) NOT NULL DEFAULT '' COMMENT 'As the metrics page prints them.',
  amount        DOUBLE       NOT NULL,
  created_ms    BIGINT       NOT NULL,
  PRIMARY KEY (metric_log_id),
  KEY metric_log_by_metric (metric, metric_log_id),
  KEY metric_log_by_created (created_ms)
) COMMENT='The value of one metric of a process at one moment.';

CREATE TABLE file_service_info_log (
  file_service_info_log_id BIGINT       NOT NULL,
  node                     SMALLINT     NOT NULL DEFAULT 0,
  event_name               VARCHAR(64)  NOT NULL COMMENT 'What happened: started, disk_ejected and so on',
  text                     VARCHAR(1000) NOT NULL DEFAULT '',
  created_ms               BIGINT       NOT NULL,
  PRIMARY KEY (file_service_info_log_id),
  KEY file_service_info_log_by_event (event_name, file_service_info_log_id),
  KEY file_service_info_log_by_created (created_ms)
) COMMENT='What an operator should know of the media server.';

CREATE TABLE file_service_metric_log (
  file_service_metric_log_id BIGINT   NOT NULL,
  node                       SMALLINT NOT NULL DEFAULT 0,
  requests                   BIGINT   NOT NULL DEFAULT 0 COMMENT 'Since the row before, like the other counts.',
  cache_hits                 BIGINT   NOT NULL DEFAULT 0,
  transforms                 BIGINT   NOT NULL DEFAULT 0,
  errors                     BIGINT   NOT NULL DEFAULT 0,
  sent_bytes                 BIGINT   NOT NULL DEFAULT 0,
  queued                     INT      NOT NULL DEFAULT 0 COMMENT 'Jobs that wait at this moment.',
  cache_bytes                BIGINT   NOT NULL DEFAULT 0 COMMENT 'On all disks at this moment.',
  created_ms                 BIGINT   NOT NULL,
  PRIMARY KEY (file_service_metric_log_id),
  KEY file_service_metric_log_by_node (node, file_service_metric_log_id),
  KEY file_service_metric_log_by_created (created_ms)
) COMMENT='What one media server did between two moments.';

CREATE TABLE file_service_request_log (
  file_service_request_log_id BIGINT      NOT NULL,
  node                        SMALLINT    NOT NULL DEFAULT 0,
  file_ref                    BIGINT      NOT NULL DEFAULT 0,
  store_type                  VARCHAR(16) NOT NULL DEFAULT '' COMMENT 'post_file, msg_file or avatar.',
  variant                     VARCHAR(64) NOT NULL DEFAULT '' COMMENT 'The size and format asked for.',
  user_id                     BIGINT      NOT NULL DEFAULT 0 COMMENT '0 for a caller who was not signed in.',
  http_status                 SMALLINT    NOT NULL,
  cache_tier                  VARCHAR(16) NOT NULL DEFAULT '' COMMENT 'Where it was found: memory, disk, store; empty where it was made.',
  sent_bytes                  BIGINT      NOT NULL DEFAULT 0,
  duration_us                 BIGINT      NOT NULL DEFAULT 0 COMMENT 'Microseconds.',
  created_ms                  BIGINT      NOT NULL,
  PRIMARY KEY (file_service_request_log_id),
  KEY file_service_request_log_by_file (file_ref, file_service_request_log_id),
  KEY file_service_request_log_by_created (created_ms)
) COMMENT='One request to the media server.';
