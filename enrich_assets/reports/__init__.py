"""Reports for people: a run's content as Markdown, as one HTML page and as a workbook. Nothing here decides."""
