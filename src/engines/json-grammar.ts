/** GBNF for one JSON object of any shape (RFC 8259), with at most twenty blanks in a row, so that it ends. */
export const jsonObjectGrammar = String.raw`root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" blank ( member ( "," blank member )* )? "}" blank
member ::= string ":" blank value blank
array ::= "[" blank ( value blank ( "," blank value blank )* )? "]"
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} ) )* "\""
number ::= "-"? ( "0" | [1-9] [0-9]{0,15} ) ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,3} )?
blank ::= [ \t\n]{0,20}
`
