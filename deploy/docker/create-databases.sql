CREATE DATABASE catalog_svc;
CREATE DATABASE exchange_svc;
CREATE DATABASE quality_svc;
CREATE DATABASE open_data_svc;
CREATE DATABASE audit_svc;
