# The named fields of each card as comma-separated values. Each line of the input is a field's name, value and unit
# between tabs; an empty line ends a card; a line `!` with a message stands for a card that does not answer.

BEGIN {
  FS = "\t"
  count = split(fields, wanted, / *, */)
  with_header = (format !~ /noheader/)
  with_units = (format !~ /nounits/)
}

$1 == "!" { message = $2; next }
$0 != "" { value[$1] = $2; unit[$1] = $3; next }
{
  if (message != "") print message
  else print_card()
  message = ""
  split("", value)
}

function print_card(   i, cell, line) {
  for (i = 1; i <= count; i++) {
    if (!(wanted[i] in value)) {
      printf "Field \"%s\" is not a valid field to query.\n\n", wanted[i]
      exit 2
    }
  }
  if (with_header) print_header()
  with_header = 0
  for (i = 1; i <= count; i++) {
    cell = value[wanted[i]]
    if (with_units && unit[wanted[i]] != "" && cell !~ /^\[/) cell = cell " " unit[wanted[i]]
    line = line (i > 1 ? ", " : "") cell
  }
  print line
}

function print_header(   i, line) {
  for (i = 1; i <= count; i++)
    line = line (i > 1 ? ", " : "") wanted[i] (with_units && unit[wanted[i]] != "" ? " [" unit[wanted[i]] "]" : "")
  print line
}
