"""Who gets what protection: facts and rules in, a plan out, pure and total."""
