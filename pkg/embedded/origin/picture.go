package origin

import (
	"fmt"
	"net/http"
	"strings"

	"eshop/pkg/catalog"
)

// maxPicture is the highest number of a picture of a product.
const maxPicture = 9

// picture serves /pictures/<id>-<n>.svg. Nothing an editor wrote is in it.
func (s *Server) picture(w http.ResponseWriter, r *http.Request) {
	name, isSVG := strings.CutSuffix(r.PathValue("name"), ".svg")
	first, second, two := strings.Cut(name, "-")
	id, err1 := catalog.ParseID(first)
	n, err2 := catalog.ParseID(second)
	if !isSVG || !two || err1 != nil || err2 != nil || n > maxPicture {
		refuse(w, http.StatusNotFound, "pictures are called <id>-<1 to 9>.svg")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "public, max-age=86400")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	_, _ = w.Write(drawing(id, int(n)))
}

// drawing returns picture n of a product: the same thing in its colours, seen
// a little differently each time.
func drawing(id int64, n int) []byte {
	a := appear(id)
	h := a.hues[(n-1)%len(a.hues)]
	views := []string{"", "rotate(-9 320 320)", "translate(-112 -112) scale(1.35)", "rotate(7 320 320) translate(48 48) scale(.85)"}
	floors := []string{"#eef1f6", "#f6f1ea", "#eaf3ef", "#f3edf4"}
	shape := strings.NewReplacer("MAIN", "url(#m)", "DARK", h.dark, "LIGHT", h.light, "FLAT", h.main).Replace(shapes(a.ware.draw))
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 640" width="640" height="640">
<defs>
<radialGradient id="b" cx=".5" cy=".42" r=".75"><stop offset="0" stop-color="#fff"/><stop offset="1" stop-color="%s"/></radialGradient>
<linearGradient id="m" x1="0" y1="0" x2="1" y2="1"><stop offset="0" stop-color="%s"/><stop offset=".55" stop-color="%s"/><stop offset="1" stop-color="%s"/></linearGradient>
<radialGradient id="s"><stop offset="0" stop-color="#000" stop-opacity=".28"/><stop offset="1" stop-color="#000" stop-opacity="0"/></radialGradient>
</defs>
<rect width="640" height="640" fill="url(#b)"/>
<ellipse cx="320" cy="530" rx="210" ry="34" fill="url(#s)"/>
<g transform="%s">%s</g>
</svg>
`, floors[(int(id%4)+n)%4], h.light, h.main, h.dark, views[(n-1)%len(views)], shape)
}

// shapes returns the drawing of a sort of product, with words for its colours.
func shapes(draw string) string {
	switch draw {
	case "phone":
		return `<rect x="212" y="96" width="216" height="436" rx="34" fill="DARK"/><rect x="220" y="104" width="200" height="420" rx="28" fill="#10131a"/>
<rect x="228" y="112" width="184" height="404" rx="22" fill="MAIN"/><path d="M228 400Q300 300 412 360V494a22 22 0 0 1-22 22H250a22 22 0 0 1-22-22z" fill="LIGHT" opacity=".5"/>
<rect x="290" y="122" width="60" height="16" rx="8" fill="#10131a"/><text x="320" y="236" font-family="sans-serif" font-size="54" font-weight="300" fill="#fff" text-anchor="middle">10:09</text>
<g fill="#fff" opacity=".85"><circle cx="258" cy="480" r="13"/><circle cx="299" cy="480" r="13"/><circle cx="341" cy="480" r="13"/><circle cx="382" cy="480" r="13"/></g>`
	case "laptop":
		return `<rect x="140" y="160" width="360" height="250" rx="16" fill="DARK"/><rect x="152" y="172" width="336" height="226" rx="6" fill="MAIN"/>
<path d="M152 330Q250 240 330 300T488 270V392a6 6 0 0 1-6 6H158a6 6 0 0 1-6-6z" fill="LIGHT" opacity=".5"/><circle cx="410" cy="222" r="24" fill="#fff" opacity=".8"/>
<path d="M104 410H536L566 482a16 16 0 0 1-15 22H89a16 16 0 0 1-15-22z" fill="#c9ced6"/><path d="M74 482a16 16 0 0 0 15 22H551a16 16 0 0 0 15-22z" fill="#9aa2ad"/>
<g fill="#7c8490"><rect x="140" y="422" width="360" height="9" rx="3"/><rect x="134" y="436" width="372" height="9" rx="3"/><rect x="128" y="450" width="384" height="9" rx="3"/></g><rect x="262" y="466" width="116" height="12" rx="4" fill="#aeb5bf"/>`
	case "headphones":
		return `<path d="M150 350V310a170 170 0 0 1 340 0V350" fill="none" stroke="DARK" stroke-width="34" stroke-linecap="round"/><path d="M166 300a154 154 0 0 1 308 0" fill="none" stroke="LIGHT" stroke-width="8" stroke-linecap="round" opacity=".7"/>
<rect x="112" y="320" width="96" height="176" rx="46" fill="MAIN"/><rect x="432" y="320" width="96" height="176" rx="46" fill="MAIN"/><rect x="192" y="336" width="40" height="144" rx="20" fill="#22252c"/><rect x="408" y="336" width="40" height="144" rx="20" fill="#22252c"/>
<circle cx="152" cy="408" r="20" fill="LIGHT" opacity=".7"/><circle cx="488" cy="408" r="20" fill="LIGHT" opacity=".7"/>`
	case "watch":
		return `<path d="M256 214L272 92H368L384 214zM256 426L272 548H368L384 426z" fill="MAIN"/><g fill="DARK" opacity=".6"><circle cx="320" cy="500" r="6"/><circle cx="320" cy="522" r="6"/><circle cx="320" cy="478" r="6"/></g>
<rect x="430" y="306" width="24" height="28" rx="6" fill="#8d95a1"/><circle cx="320" cy="320" r="124" fill="#aab1bc"/><circle cx="320" cy="320" r="110" fill="#f7f8fa"/><circle cx="320" cy="320" r="100" fill="none" stroke="FLAT" stroke-width="3"/>
<g stroke="#22252c" stroke-width="6" stroke-linecap="round"><path d="M320 226V240M320 400V414M226 320H240M400 320H414"/><path d="M320 320L272 286" stroke-width="9"/><path d="M320 320L384 262"/></g><path d="M320 320L332 396" stroke="FLAT" stroke-width="3"/><circle cx="320" cy="320" r="8" fill="FLAT"/>`
	case "camera":
		return `<path d="M230 214L252 168H388L410 214z" fill="DARK"/><rect x="110" y="210" width="420" height="270" rx="32" fill="MAIN"/><rect x="110" y="262" width="420" height="150" fill="#22252c" opacity=".85"/>
<circle cx="320" cy="344" r="122" fill="#d5dae1"/><circle cx="320" cy="344" r="108" fill="#16181d"/><circle cx="320" cy="344" r="78" fill="DARK"/><circle cx="320" cy="344" r="54" fill="#0b0d11"/><circle cx="296" cy="320" r="20" fill="#fff" opacity=".55"/><circle cx="346" cy="370" r="10" fill="LIGHT" opacity=".7"/>
<rect x="146" y="188" width="66" height="24" rx="8" fill="#3a3e46"/><circle cx="484" cy="240" r="12" fill="#fff" opacity=".85"/>`
	case "shirt":
		return `<path d="M236 130L120 190L88 310L168 336L184 290V520a14 14 0 0 0 14 14H442a14 14 0 0 0 14-14V290L472 336L552 310L520 190L404 130Q320 210 236 130z" fill="MAIN"/>
<path d="M236 130Q320 210 404 130L386 122Q320 180 254 122z" fill="DARK"/><path d="M184 290Q196 250 190 214M456 290Q444 250 450 214" fill="none" stroke="DARK" stroke-width="4" opacity=".5"/><path d="M300 534Q330 430 310 300" fill="none" stroke="LIGHT" stroke-width="10" opacity=".35"/>`
	case "sneaker":
		return `<path d="M96 420L112 268Q150 252 190 282L236 232Q262 220 282 240L400 350Q440 378 506 388Q552 398 552 444L548 470H96z" fill="MAIN"/><path d="M96 420Q180 400 240 448L236 470H96z" fill="DARK" opacity=".7"/>
<path d="M430 384Q520 380 552 444L548 470H440Q412 430 430 384z" fill="LIGHT" opacity=".65"/><path d="M84 462H560a18 18 0 0 1-4 42Q320 520 96 504a24 24 0 0 1-12-42z" fill="#fbfbfc"/><path d="M84 490Q320 506 566 490L556 504Q320 520 96 504z" fill="#c8cdd4"/>
<g stroke="#fff" stroke-width="9" stroke-linecap="round"><path d="M262 300L304 262M294 330L336 290M328 358L368 320"/></g><path d="M150 420Q240 420 300 360" fill="none" stroke="#fff" stroke-width="12" opacity=".85"/>`
	case "mug":
		return `<path d="M420 250h40a80 80 0 0 1 0 176h-40" fill="none" stroke="DARK" stroke-width="34"/><path d="M160 190H440V460a70 70 0 0 1-70 70H230a70 70 0 0 1-70-70z" fill="MAIN"/><ellipse cx="300" cy="190" rx="140" ry="30" fill="LIGHT"/><ellipse cx="300" cy="192" rx="122" ry="22" fill="#5b3a22"/>
<path d="M186 250V440" stroke="#fff" stroke-width="14" stroke-linecap="round" opacity=".4"/><g fill="none" stroke="#9aa2ad" stroke-width="8" stroke-linecap="round" opacity=".6"><path d="M260 150q-20-26 0-50t0-44M320 150q-20-26 0-50t0-44"/></g>`
	case "lamp":
		return `<path d="M228 300L100 520H420z" fill="#ffe9a8" opacity=".45"/><ellipse cx="390" cy="524" rx="110" ry="22" fill="DARK"/><rect x="280" y="502" width="220" height="22" rx="11" fill="FLAT"/><g stroke="#6d7582" stroke-width="16" stroke-linecap="round"><path d="M390 506L460 330M460 330L300 190"/></g><circle cx="460" cy="330" r="18" fill="DARK"/>
<path d="M320 160L160 250Q190 330 270 330L350 224z" fill="MAIN"/><path d="M160 250Q190 330 270 330Q230 270 160 250z" fill="#fff3c4"/><circle cx="318" cy="184" r="20" fill="DARK"/>`
	default: // backpack
		return `<path d="M260 150Q260 88 320 88T380 150" fill="none" stroke="DARK" stroke-width="22"/><path d="M176 280Q176 140 320 140T464 280V490a44 44 0 0 1-44 44H220a44 44 0 0 1-44-44z" fill="MAIN"/><rect x="140" y="330" width="52" height="150" rx="24" fill="DARK"/><rect x="448" y="330" width="52" height="150" rx="24" fill="DARK"/>
<path d="M200 300H440" stroke="DARK" stroke-width="8"/><rect x="220" y="350" width="200" height="150" rx="24" fill="DARK" opacity=".75"/><path d="M240 384H400" stroke="LIGHT" stroke-width="7" stroke-linecap="round"/><rect x="296" y="220" width="48" height="34" rx="8" fill="LIGHT" opacity=".9"/><circle cx="400" cy="384" r="9" fill="#fff"/>`
	}
}
