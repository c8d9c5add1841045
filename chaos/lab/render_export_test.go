package lab

var (
	ShareText    = shareText
	IntervalText = intervalText
	SpanText     = spanText
	Thousands    = thousands
	Plain        = plain
	Cells        = cells
	Slug         = slug
)
