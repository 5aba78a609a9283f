"""PostgreSQL: schema, migrations, SQL statements, connections."""
