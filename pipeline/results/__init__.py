"""What stages measure, as typed files under reports/: written by the stage that measured, read by the report."""
