-- Refers to another database, where a table has the same name.

CREATE TABLE customer (
  customer_id BIGINT NOT NULL,
  PRIMARY KEY (customer_id),
  CONSTRAINT same_customer FOREIGN KEY (customer_id) REFERENCES shop.customer (customer_id) ON DELETE CASCADE
);

CREATE TABLE ticket (
  ticket_id  BIGINT NOT NULL,
  customerId BIGINT NOT NULL,
  PRIMARY KEY (ticket_id),
  FOREIGN KEY (customerId) REFERENCES support.customer (customer_id) ON DELETE CASCADE
);
