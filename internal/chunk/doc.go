// Package chunk cuts a document's text into passages: the pieces that are indexed, found and cited.
//
//	text + headings --> atoms --> sections --> passages
//	                    |         |            '- filled up to size, cut at the strongest border near the end
//	                    |         '- parted at headings of level 1 and 2; tiny neighbours joined, bare headings glued on
//	                    '- heading lines, sentences, code blocks and tables that fit, else their lines; words of endless sentences
//
// A passage is an exact range of the text (Text == x.Text[Span.Start:Span.End]), so that a citation can be shown in its place.
// It has no white space at its ends and at most size characters; together passages hold every character that is not white
// space; a word is cut only where it is itself longer than size. Neighbours inside one section may share whole sentences, at
// most overlap characters; shared text costs room in the index and in the prompt, so it is only taken where a cut falls inside
// running text, never across a heading.
//
// Size counts code points: what people mean by characters, and nearly what models count in most languages. Cutting the same
// text twice gives the same passages; Recipe changes whenever another version would cut otherwise, so that documents are cut
// again. The package knows no files, no store and no models.
package chunk
