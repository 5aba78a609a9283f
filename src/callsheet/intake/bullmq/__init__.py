"""BullMQ: jobs that Node producers add are run by Callsheet, and end in BullMQ as if a Node worker had run them."""
