"""Measuring clips and orders of stages: the source advisor, the order lab, and the metrics they share."""
