# Sourced by tools that work with soundings, in whole metres: fathoms, and the colour of a depth.
fathoms() {
  tenths=$(($1 * 100000 / 18288))
  echo "$((tenths / 10)).$((tenths % 10))"
}
shade() {
  if [ "$1" -lt 2 ]; then echo green; elif [ "$1" -lt 5 ]; then echo blue; else echo white; fi
}
