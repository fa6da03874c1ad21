"""What Alembic runs for a migration: inside the transaction its caller has begun.

No RFC; Alembic looks for this file by its name.
"""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
